#![no_main]
//! Gives `decoder::template` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::template::check(data));
