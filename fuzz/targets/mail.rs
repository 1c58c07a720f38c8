#![no_main]
//! Gives `decoder::mail` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::mail::check(data));
