//! See `althing_mixer::fuzzing::playout`.
#![cfg_attr(feature = "libfuzzer", no_main)]
althing_fuzz::target!(althing_mixer::fuzzing::playout);
