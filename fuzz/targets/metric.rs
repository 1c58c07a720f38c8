#![no_main]
//! Gives `decoder::metric` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::metric::check(data));
