#![no_main]
//! Gives `decoder::baseline` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::baseline::check(data));
