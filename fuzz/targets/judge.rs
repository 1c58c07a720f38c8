#![no_main]
//! Gives `decoder::judge` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::judge::check(data));
