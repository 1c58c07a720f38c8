#![no_main]
//! Gives `decoder::retry_after` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::retry_after::check(data));
