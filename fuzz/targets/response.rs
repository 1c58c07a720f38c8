#![no_main]
//! Gives `decoder::response` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::response::check(data));
