//! Packet captures to reports: the whole path, for any bytes.

use authtap::finding::Settings;
use authtap::model::TapId;
use authtap::model::event::Event;
use authtap::packet::diagnose::{Options, diagnose};
use authtap::packet::tls::KeyLog;
use authtap::report::view::{Builder, View};
use authtap::report::{terminal, v1};

/// A report of one file is not longer than that, and so much more for each byte of it.
const REPORT: usize = 256 * 1024;
const FOR_EACH_BYTE: usize = 64;

/// A file, and the same beside its first half: no panic, the same report each time, of bounded length, and nothing in its
/// text that plays tricks on a terminal.
pub fn packet_report(data: &[u8]) {
    let half = data.get(..data.len() / 2).unwrap_or_default();
    for files in [vec![("a.pcap", data)], vec![("a.pcap", data), ("b.pcap", half)]] {
        let (text, json) = told(&files);
        assert_eq!((&text, &json), (&told(&files).0, &told(&files).1), "not deterministic");
        let most = REPORT + FOR_EACH_BYTE * data.len();
        assert!(text.len() <= most && json.len() <= 16 * most, "{} and {} bytes", text.len(), json.len());
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

fn told(files: &[(&str, &[u8])]) -> (String, String) {
    let settings = Settings { key: [7; 16], ..Settings::default() };
    let options = Options { settings, keys: KeyLog::default(), certificate: |_| None };
    let inputs = files.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect();
    let (mut builder, tap) = (Builder::default(), TapId("packets".to_owned()));
    let mut last = 0;
    let facts = diagnose(inputs, options, |event: Event| {
        assert!(event.seq > 0, "an event without a number");
        last = last.max(event.seq);
        builder.take(&tap, &event);
    });
    let view = View { packets: Some(facts), ..builder.view() };
    let json = serde_json::to_string(&v1::Report::from(&view)).expect("JSON");
    (terminal::report(&view, false), json)
}
