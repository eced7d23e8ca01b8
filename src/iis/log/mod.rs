//! Lines of IIS's W3C extended logs and of HTTP.sys's HTTPERR logs.
//!
//! Feed lines ([`LogReader::feed`]), chunks ([`LogReader::read`]) or a whole file ([`LogReader::lines`]). `#Fields` counts
//! from where it stands, as IIS writes it anew after a restart or a change; a bad line is told with its number, and
//! reading goes on. Nothing is allocated for a line.
//!
//! Times in these logs are UTC with a resolution of one second, and lines come late: HTTP.sys buffers them. That a line
//! is not there yet says nothing.

mod column;
mod line;
mod reader;
mod scan;
mod value;

pub use line::{BadLine, Custom, CustomValue, Directive, HttpErrLine, LogEvent, Text, W3cLine, Why};
pub use reader::{Kind, Lines, LogReader, Verdict};
