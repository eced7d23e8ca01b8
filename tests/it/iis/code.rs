//! Codes: every one is there, found in every form that people paste, and near misses are helped.

use authtap::iis::code::{Answer, Confidence, Row, all, httperr, kerberos, lookup, substatus, suggest, triple, win32};
use proptest::prelude::*;

/// The win32, SSPI and NTSTATUS codes of the facts, as IIS logs them.
const WIN32: &str = "
    0 5 64 121 995 1236 1311 1312 1314 1317 1326 1327 1328 1329 1330 1331 1355 1385 1396 1397 1398 1786
    1787 1788 1789 1792 1793 1907 1909 2147942405 2147943726 2148074241 2148074242 2148074243 2148074244
    2148074245 2148074248 2148074251 2148074252 2148074253 2148074254 2148074255 2148074256 2148074257
    2148074263 2148074264 2148074273 2148074274 2148074276 2148074277 2148074278 2148074279 2148074280
    2148074288 2148074289 2148074305 2148074306 2148074309 2148074310 2148074311 2148074312 2148074313
    2148074320 2148074333 2148074335 2148081680 2148081682 2148081683 2148204801 2148204809 2148204810
    2148204812 2148204816 3221225566 3221225572 3221225578 3221225581 3221225582 3221225583 3221225584
    3221225585 3221225586 3221225779 3221225819 3221225868 3221225869 3221225874 3221225875 3221226020
    3221226036 3221226331 3221226376 3221226515 3221226520
";

fn keys(query: &str) -> Vec<String> {
    lookup(query).iter().map(|a| format!("{} {}", a.row.list(), a.row.key())).collect()
}

/// A code that IIS is known to log and that `explain` does not know leaves the administrator where he was.
#[test]
fn every_code_of_the_facts_is_there() {
    for sub in [0, 1, 2, 3, 4, 5, 7, 501, 502, 503, 504] {
        assert!(substatus(401, sub).is_some(), "401.{sub}");
    }
    for sub in (1..=22).chain(501..=504) {
        assert!(substatus(403, sub).is_some(), "403.{sub}");
    }
    for (status, sub) in [(400, 0), (404, 10), (413, 0), (431, 0), (500, 19), (502, 3), (503, 0)] {
        assert!(substatus(status, sub).is_some(), "{status}.{sub}");
    }
    for code in WIN32.split_ascii_whitespace().map(|code| code.parse::<u32>().unwrap()) {
        assert!(win32(code).is_some_and(|r| r.code == code), "{code}");
    }
    for code in (0..=29).chain(31..=42).chain(44..=52).chain([60, 61]).chain(62..=76) {
        assert!(
            kerberos(code).is_some_and(|r| r.at_server == r.name.starts_with("KRB_AP") || code == 60 || code == 61),
            "{code}"
        );
    }
    for reason in "FieldLength RequestLength Header BadRequest Hostname URL URL_Length Verb Version_N/S Invalid_CR/LF Number \
                   LengthRequired EntityTooLarge Forbidden Connection_Dropped Client_Reset Connection_Abandoned_By_ReqQueue \
                   Connection_Abandoned_By_AppPool Connections_Refused ConnLimit QueueFull AppOffline Disabled AppShutdown \
                   AppPoolTimer N/A N/I Internal Timer_ConnectionIdle Timer_HeaderWait Timer_EntityBody \
                   Timer_MinBytesPerSecond Timer_AppPool Timer_ReqQueue Timer_SslRenegotiation"
        .split_ascii_whitespace()
    {
        assert!(httperr(reason).is_some(), "{reason}");
    }
}

/// Two names for one number, of which one is wrong, send people to the wrong article.
#[test]
fn names_belong_to_their_numbers() {
    for (code, name) in [
        (0x8009_0308, "SEC_E_INVALID_TOKEN"),
        (0x8009_030C, "SEC_E_LOGON_DENIED"),
        (0x8009_030E, "SEC_E_NO_CREDENTIALS"),
        (0x8009_0346, "SEC_E_BAD_BINDINGS"),
        (0xC000_035B, "STATUS_BAD_BINDINGS"),
        (0xC000_006D, "STATUS_LOGON_FAILURE"),
        (0x800B_0109, "CERT_E_UNTRUSTEDROOT"),
        (1326, "ERROR_LOGON_FAILURE"),
    ] {
        assert_eq!(win32(code).map(|r| r.name), Some(name));
    }
}

/// What is not verified must not be told as if it were.
#[test]
fn unverified_statements_are_marked() {
    let bindings = win32(0x8009_0346).unwrap();
    assert_eq!(bindings.text.confidence, Confidence::Specified);
    assert_eq!(bindings.text.here_confidence.caveat(), Some("not verified"));
    assert_eq!(substatus(401, 0).unwrap().text.confidence, Confidence::Unverified);
    // The product's core case rests on a document, and says that it proves nothing alone.
    let split = triple(401, 1, 2_148_074_248).unwrap();
    assert!(split.text.here.contains("Extended Protection"), "{}", split.text.here);
}

/// Whatever form the code is copied in, it is found.
#[test]
fn every_form_is_understood() {
    assert_eq!(keys("401.1"), ["substatus 401.1"]);
    assert_eq!(keys(" \"401.1\" "), ["substatus 401.1"]);
    assert_eq!(keys("401 1 2148074252"), ["triple 401 1 2148074252", "win32 0x8009030C", "substatus 401.1"]);
    assert_eq!(keys("401.1 -2146893044"), keys("401 1 2148074252"));
    assert_eq!(keys("401,2,0x80070005,17763"), ["triple 401 2 2147942405", "win32 0x80070005", "substatus 401.2"]);
    for denied in [
        "0x8009030c",
        "0X8009030C",
        "8009030C",
        "2148074252",
        "-2146893044",
        "SEC_E_LOGON_DENIED",
        "sec_e_logon_denied",
    ] {
        assert_eq!(keys(denied), ["win32 0x8009030C"], "{denied}");
    }
    assert_eq!(keys("KRB_AP_ERR_MODIFIED"), ["kerberos 41"]);
    assert_eq!(keys("fieldlength"), ["httperr FieldLength"]);
    assert_eq!(keys("Version_N/S"), ["httperr Version_N/S"]);
    assert_eq!(keys("HTTP Error 401.2 - Unauthorized"), ["substatus 401.2"]);
    assert_eq!(keys("sc-win32-status: 2148074254"), ["win32 0x8009030E"]);
    assert_eq!(keys("LOGON_FAILURE"), ["win32 0x52E", "win32 0xC000006D"]);
    assert_eq!(keys("KDC_ERR_KEY_TOO_WEAK"), ["kerberos 65"]);
    assert!(keys("401").len() >= 10);
    assert_eq!(keys("nothing of the kind"), [""; 0]);
    assert_eq!(keys(""), [""; 0]);
}

/// A number that is several things must not be told as one of them.
#[test]
fn ambiguous_numbers_answer_with_all() {
    assert_eq!(keys("5"), ["win32 0x5", "kerberos 5"]);
    assert_eq!(keys("64"), ["win32 0x40", "kerberos 64"]);
    let answers: Vec<Answer> = lookup("41");
    assert!(
        matches!(answers.as_slice(), [Answer { row: Row::Kerberos(r), read_as }] if r.code == 41 && read_as.contains("Kerberos"))
    );
}

/// A Win32 error or NTSTATUS wrapped as an HRESULT, as detailed pages have it, is the same error.
#[test]
fn wrapped_codes_are_unwrapped() {
    assert_eq!(keys("0x8007052F"), ["win32 0x52F"]);
    assert_eq!(keys("0xD000006D"), ["win32 0xC000006D"]);
    assert_eq!(win32(0x8007_FFFF), None);
}

/// A slip of the finger must not end in "unknown".
#[test]
fn near_misses_are_suggested() {
    assert_eq!(suggest("401.l").first().map(String::as_str), Some("401.1"));
    assert_eq!(suggest("SEC_E_LOGON_DENIDE").first().map(String::as_str), Some("SEC_E_LOGON_DENIED"));
    assert_eq!(suggest("KRB_AP_ERR_MODIFED").first().map(String::as_str), Some("KRB_AP_ERR_MODIFIED"));
    assert_eq!(suggest("feildlength").first().map(String::as_str), Some("FieldLength"));
    assert_eq!(suggest("MODIFED").first().map(String::as_str), Some("KRB_AP_ERR_MODIFIED"));
    assert_eq!(suggest("0x8009030B0").first().map(String::as_str), Some("0x8009030B"));
    assert!(suggest("Timer_").iter().all(|s| s.starts_with("Timer_")));
    assert!(suggest("Timer_").len() == 5);
    assert!(suggest("").is_empty());
    assert!(suggest("something else entirely").is_empty());
}

/// `--list` must show what `explain` finds, and nothing else.
#[test]
fn every_row_of_the_list_is_found_by_its_key() {
    assert!(all().count() > 300);
    for row in all() {
        assert!(lookup(&row.key()).iter().any(|a| a.row == row), "{}", row.key());
        assert!(
            matches!(row, Row::Triple(_) | Row::Substatus(_)) || lookup(row.name()).iter().any(|a| a.row == row),
            "{}",
            row.name()
        );
    }
}

/// The names that tokens are decoded with and those that are explained must be the same.
#[test]
fn kerberos_names_are_those_of_the_decoder() {
    for code in 0..=100 {
        if let Some(row) = kerberos(code) {
            assert!(lookup(row.name).iter().any(|a| a.row == Row::Kerberos(row)));
        }
    }
}

proptest! {
    /// A panic on a pasted line is the last thing that somebody with an outage needs.
    #[test]
    fn any_query_is_answered(query in ".{0,80}") {
        let _ = lookup(&query);
        prop_assert!(suggest(&query).len() <= 5);
    }

    /// The same with what codes are made of.
    #[test]
    fn any_soup_of_codes_is_answered(query in r"([0-9]{1,12}|0x|[-., /]|[A-F]{1,4}|SEC_E_|401|é){0,12}") {
        let _ = lookup(&query);
        let _ = suggest(&query);
    }
}
