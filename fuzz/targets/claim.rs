#![no_main]
//! Gives `decoder::claim` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::claim::check(data));
