//! See `althing_media_core::fuzzing::fec`.
#![cfg_attr(feature = "libfuzzer", no_main)]
althing_fuzz::target!(althing_media_core::fuzzing::fec);
