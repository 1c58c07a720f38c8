#![no_main]
//! Gives `decoder::import` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::import::check(data));
