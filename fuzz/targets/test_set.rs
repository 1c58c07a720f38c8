#![no_main]
//! Gives `decoder::test_set` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::test_set::check(data));
