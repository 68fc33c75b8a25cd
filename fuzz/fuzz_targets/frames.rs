//! See `althing_recorder::input::fuzzing::frames`.
#![cfg_attr(feature = "libfuzzer", no_main)]
althing_fuzz::target!(althing_recorder::input::fuzzing::frames);
