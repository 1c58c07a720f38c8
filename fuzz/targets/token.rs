#![no_main]
//! Gives `decoder::token` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::token::check(data));
