//! See `althing_fuzz::signalling::sdp`.
#![cfg_attr(feature = "libfuzzer", no_main)]
althing_fuzz::target!(althing_fuzz::signalling::sdp);
