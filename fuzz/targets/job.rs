#![no_main]
//! Gives `decoder::job` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::job::check(data));
