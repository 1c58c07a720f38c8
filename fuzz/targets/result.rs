#![no_main]
//! Gives `decoder::result` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::result::check(data));
