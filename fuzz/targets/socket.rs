#![no_main]
//! Gives `decoder::socket` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::socket::check(data));
