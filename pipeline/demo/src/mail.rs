//! Mails that carry reports.

use std::fmt::Write as _;

use crate::calendar::mail_date;
use crate::prng::key;
use crate::report::Report;

/// A file in a mail.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// A mail whose body is the file.
pub(crate) fn single(report: &Report, attachment: &Attachment) -> String {
    let mut mail = headers(report);
    part(&mut mail, attachment);
    mail
}

/// A mail with a sentence and the file.
pub(crate) fn multipart(report: &Report, attachment: &Attachment) -> String {
    let boundary = format!("=_{}", report.rng(key("boundary")).hex(24));
    let mut mail = headers(report);
    let _ = write!(
        mail,
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\n\n\
         --{boundary}\nContent-Type: text/plain; charset=us-ascii\n\n\
         This is a DMARC aggregate report for {}.\n\n--{boundary}\n",
        report.domain
    );
    part(&mut mail, attachment);
    let _ = writeln!(mail, "\n--{boundary}--");
    mail
}

/// A mail in which the domain's postmaster forwards another.
pub(crate) fn forwarded(report: &Report, inner: &str) -> String {
    let boundary = format!("------------{}", report.rng(key("forward")).hex(24));
    format!(
        "Date: {}\nFrom: Postmaster <postmaster@{domain}>\nTo: dmarc@{domain}\n\
         Message-ID: <fwd-{}@{domain}>\nSubject: Fwd: {}\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=\"{boundary}\"\n\n\
         --{boundary}\nContent-Type: text/plain; charset=utf-8\n\nThis came to my address, it belongs to yours.\n\n\
         --{boundary}\nContent-Type: message/rfc822; name=\"report.eml\"\nContent-Disposition: attachment; filename=\"report.eml\"\n\n\
         {inner}\n--{boundary}--\n",
        mail_date(report.sent + 3600),
        report.rng(key("forward-id")).hex(16),
        subject(report),
        domain = report.domain,
    )
}

fn headers(report: &Report) -> String {
    let Report { reporter, domain, .. } = report;
    let date = mail_date(report.sent);
    format!(
        "Return-Path: <{email}>\n\
         Received: from mx.{receiver} (mx.{receiver} [{address}])\n\tby mail.{domain} with ESMTPS; {date}\n\
         Date: {date}\nFrom: {email}\nTo: dmarc@{domain}\nMessage-ID: <{id}@{receiver}>\n\
         Subject: {subject}\nMIME-Version: 1.0\n",
        email = reporter.email,
        receiver = reporter.receiver,
        address = crate::services::GOOGLE_WORKSPACE.nets[0].address(key(reporter.receiver)),
        id = report.rng(key("message-id")).hex(20),
        subject = subject(report),
    )
}

fn subject(report: &Report) -> String {
    format!(
        "Report domain: {} Submitter: {}\n Report-ID: <{}>",
        report.domain, report.reporter.receiver, report.id
    )
}

fn part(mail: &mut String, attachment: &Attachment) {
    let Attachment { name, media_type, bytes } = attachment;
    let _ = write!(
        mail,
        "Content-Type: {media_type};\n name=\"{name}\"\n\
         Content-Disposition: attachment;\n filename=\"{name}\"\nContent-Transfer-Encoding: base64\n\n"
    );
    base64(mail, bytes);
}

/// Base64 (RFC 2045) in lines of 76 characters.
fn base64(out: &mut String, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for line in bytes.chunks(57) {
        for group in line.chunks(3) {
            let at = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            for i in 0..4 {
                let sextet = (bits >> (18 - 6 * i)) & 63;
                out.push(if i <= group.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
            }
        }
        out.push('\n');
    }
}

/// A mail as an mbox holds it: behind a line of its own, lines that look like one marked.
pub(crate) fn mbox_entry(report: &Report, mail: &str) -> String {
    let mut out = format!("From {} {}\n", report.reporter.email, crate::calendar::mbox_date(report.sent));
    for line in mail.split_inclusive('\n') {
        if line.trim_start_matches('>').starts_with("From ") {
            out.push('>');
        }
        out.push_str(line);
    }
    out.push('\n');
    out
}

/// The mail with the line ends that go over the wire.
pub(crate) fn crlf(mail: &str) -> Vec<u8> {
    mail.replace('\n', "\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        let encoded = |bytes: &[u8]| {
            let mut out = String::new();
            base64(&mut out, bytes);
            out
        };
        assert_eq!(encoded(b"f"), "Zg==\n");
        assert_eq!(encoded(b"fo"), "Zm8=\n");
        assert_eq!(encoded(b"foobar"), "Zm9vYmFy\n");
        assert_eq!(encoded(&[0; 58]).lines().map(str::len).collect::<Vec<_>>(), [76, 4]);
    }
}
