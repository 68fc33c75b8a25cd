//! What the fuzz targets share: how a body becomes a program, and the bodies for signalling.
//!
//! The bodies for media lie in `althing_media_core::fuzzing` and `althing_mixer::fuzzing`, which exist only under
//! `cfg(fuzzing)`.

pub mod driver;
pub mod signalling;

#[cfg(feature = "libfuzzer")]
#[doc(hidden)]
pub use libfuzzer_sys;

/// Makes a program of a body: for libFuzzer, or with a driver of our own.
#[macro_export]
macro_rules! target {
    ($body:path) => {
        #[cfg(feature = "libfuzzer")]
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $body(data));

        #[cfg(not(feature = "libfuzzer"))]
        fn main() -> std::process::ExitCode {
            $crate::driver::run($body)
        }
    };
}
