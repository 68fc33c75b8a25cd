//! See `althing_fuzz::signalling::token`.
#![cfg_attr(feature = "libfuzzer", no_main)]
althing_fuzz::target!(althing_fuzz::signalling::token);
