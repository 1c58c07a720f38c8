#![no_main]
//! Gives `decoder::egress` what libFuzzer makes up.

libfuzzer_sys::fuzz_target!(|data: &[u8]| testfleet_fuzz::decoder::egress::check(data));
