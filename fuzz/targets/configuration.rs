#![no_main]
//! Gives `decoder::configuration` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::configuration::check(data));
