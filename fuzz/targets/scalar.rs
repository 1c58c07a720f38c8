#![no_main]
//! Gives `decoder::scalar` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::scalar::check(data));
