//! See `althing_media_core::fuzzing::transport_cc`.
#![cfg_attr(feature = "libfuzzer", no_main)]
althing_fuzz::target!(althing_media_core::fuzzing::transport_cc);
