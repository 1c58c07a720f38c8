#![no_main]
//! Gives `decoder::settings` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::settings::check(data));
