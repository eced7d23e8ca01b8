#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| authtap_fuzz::oracles::packet_report(data));
