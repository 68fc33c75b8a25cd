//! See `althing_media_core::fuzzing::red`.
#![cfg_attr(feature = "libfuzzer", no_main)]
althing_fuzz::target!(althing_media_core::fuzzing::red);
