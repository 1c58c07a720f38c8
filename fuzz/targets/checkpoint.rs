#![no_main]
//! Gives `decoder::checkpoint` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::checkpoint::check(data));
