//! See `althing_recorder::recover::fuzzing::container`.
#![cfg_attr(feature = "libfuzzer", no_main)]
althing_fuzz::target!(althing_recorder::recover::fuzzing::container);
