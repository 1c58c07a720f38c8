#![no_main]
//! Gives `decoder::request` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::request::check(data));
