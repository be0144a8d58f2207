//! The services that send mail for customers: where their mail comes from and how it is signed.
//!
//! Networks and signing domains are the services' public ones, so that address data and the recognition of services
//! have something to recognise.

use crate::address::{Net, v4, v6};

/// Messages by day of the week, Monday first, in percent of the average day.
pub type Week = [u16; 7];

/// Every day the same.
pub const STEADY: Week = [100; 7];
/// People at work.
pub const OFFICE: Week = [128, 134, 132, 128, 118, 32, 28];
/// People who shop.
pub const SHOP: Week = [98, 92, 90, 94, 104, 108, 114];
/// Newsletters.
pub const NEWSLETTER: Week = [40, 270, 60, 230, 60, 20, 20];

/// A sending service.
#[derive(Debug)]
pub struct Service {
    pub name: &'static str,
    /// The country of its addresses, ISO 3166-1 alpha-2, where they are all of one.
    pub country: Option<&'static str>,
    pub nets: &'static [Net],
    /// How many addresses one customer's mail comes from.
    pub addresses: u64,
    /// The customer's subdomain that it signs as; empty for the domain itself.
    pub signs: &'static str,
    pub selector: Selector,
    /// What else it signs as.
    pub also: Also,
    pub mail_from: MailFrom,
    pub week: Week,
}

/// The selector of the customer's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    Fixed(&'static str),
    /// A token of that many characters for each customer.
    Token(usize),
}

/// The service's own signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Also {
    Nothing,
    /// This domain and selector, beside the customer's.
    Own(&'static str, &'static str),
    /// The customer's tenant at Microsoft, where there is no customer's signature.
    Tenant,
    /// The customer's name at Google, where there is no customer's signature.
    Gapps,
}

/// The domain of the envelope sender, which SPF checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailFrom {
    /// The customer's domain: passes when the customer's record includes the service.
    Customer,
    /// A subdomain of the customer's with this label.
    Subdomain(&'static str),
    /// The service's: passes, not aligned.
    Own(&'static str),
}

pub static GOOGLE_WORKSPACE: Service = Service {
    name: "Google Workspace",
    country: None,
    nets: &[v4(209, 85, 128, 0, 17), v6(0x2a00_1450_4864_0020, 64), v6(0x2607_f8b0_4864_0020, 64)],
    addresses: 24,
    signs: "",
    selector: Selector::Fixed("google"),
    also: Also::Gapps,
    mail_from: MailFrom::Customer,
    week: OFFICE,
};

pub static MICROSOFT_365: Service = Service {
    name: "Microsoft 365",
    country: None,
    nets: &[v4(40, 107, 0, 0, 16), v4(52, 101, 0, 0, 16), v6(0x2a01_0111_f403_0000, 48)],
    addresses: 20,
    signs: "",
    selector: Selector::Fixed("selector1"),
    also: Also::Tenant,
    mail_from: MailFrom::Customer,
    week: OFFICE,
};

pub static AMAZON_SES: Service = Service {
    name: "Amazon SES",
    country: Some("US"),
    nets: &[v4(54, 240, 0, 0, 18), v4(76, 223, 176, 0, 20), v4(69, 169, 224, 0, 20)],
    addresses: 16,
    signs: "",
    selector: Selector::Token(32),
    also: Also::Own("amazonses.com", "224i4yxa5dv7c2xz3womw6peuasteono"),
    mail_from: MailFrom::Own("eu-west-1.amazonses.com"),
    week: SHOP,
};

pub static SENDGRID: Service = Service {
    name: "SendGrid",
    country: Some("US"),
    nets: &[v4(167, 89, 0, 0, 17), v4(149, 72, 128, 0, 17), v4(159, 183, 128, 0, 17)],
    addresses: 6,
    signs: "",
    selector: Selector::Fixed("s1"),
    also: Also::Own("sendgrid.info", "smtpapi"),
    mail_from: MailFrom::Subdomain("em3118"),
    week: SHOP,
};

pub static MAILCHIMP: Service = Service {
    name: "Mailchimp",
    country: Some("US"),
    nets: &[v4(198, 2, 128, 0, 18), v4(205, 201, 128, 0, 20)],
    addresses: 10,
    signs: "",
    selector: Selector::Fixed("k2"),
    also: Also::Own("mailchimpapp.net", "k3"),
    mail_from: MailFrom::Own("mail10.suw13.rsgsv.net"),
    week: NEWSLETTER,
};

pub static MAILGUN: Service = Service {
    name: "Mailgun",
    country: Some("US"),
    nets: &[v4(69, 72, 32, 0, 20), v4(159, 135, 224, 0, 20), v4(143, 55, 224, 0, 21)],
    addresses: 4,
    signs: "mg",
    selector: Selector::Fixed("mx"),
    also: Also::Own("mailgun.org", "mg"),
    mail_from: MailFrom::Subdomain("mg"),
    week: STEADY,
};

pub static BREVO: Service = Service {
    name: "Brevo",
    country: Some("FR"),
    nets: &[v4(77, 32, 148, 0, 24), v4(185, 41, 28, 0, 22)],
    addresses: 5,
    signs: "",
    selector: Selector::Fixed("mail"),
    also: Also::Own("sendinblue.com", "mail"),
    mail_from: MailFrom::Own("sender-sib.com"),
    week: NEWSLETTER,
};

pub static MAILJET: Service = Service {
    name: "Mailjet",
    country: Some("FR"),
    nets: &[v4(87, 253, 232, 0, 21), v4(185, 189, 236, 0, 22)],
    addresses: 5,
    signs: "",
    selector: Selector::Fixed("mailjet"),
    also: Also::Nothing,
    mail_from: MailFrom::Own("bnc3.mailjet.com"),
    week: NEWSLETTER,
};

pub static ZENDESK: Service = Service {
    name: "Zendesk",
    country: None,
    nets: &[v4(192, 161, 144, 0, 22), v4(185, 12, 80, 0, 22)],
    addresses: 6,
    signs: "",
    selector: Selector::Fixed("zendesk1"),
    also: Also::Own("zendesk.com", "zendesk1"),
    mail_from: MailFrom::Customer,
    week: OFFICE,
};

pub static HUBSPOT: Service = Service {
    name: "HubSpot",
    country: Some("US"),
    nets: &[v4(158, 247, 16, 0, 20)],
    addresses: 6,
    signs: "",
    selector: Selector::Fixed("hs1-4711"),
    also: Also::Own("hubspotemail.net", "hs1"),
    mail_from: MailFrom::Own("bf07.hubspotemail.net"),
    week: NEWSLETTER,
};

pub static SALESFORCE: Service = Service {
    name: "Salesforce",
    country: Some("US"),
    nets: &[v4(136, 146, 0, 0, 16), v4(96, 43, 144, 0, 20)],
    addresses: 6,
    signs: "",
    selector: Selector::Fixed("sf2024"),
    also: Also::Nothing,
    mail_from: MailFrom::Customer,
    week: OFFICE,
};

pub static ZOHO: Service = Service {
    name: "Zoho Mail",
    country: Some("US"),
    nets: &[v4(136, 143, 188, 0, 24)],
    addresses: 6,
    signs: "",
    selector: Selector::Fixed("zmail"),
    also: Also::Own("zohomail.com", "zm2022"),
    mail_from: MailFrom::Customer,
    week: OFFICE,
};

pub static IONOS: Service = Service {
    name: "IONOS",
    country: Some("DE"),
    nets: &[v4(212, 227, 126, 128, 25), v4(212, 227, 15, 0, 24), v4(217, 72, 192, 64, 26)],
    addresses: 9,
    signs: "",
    selector: Selector::Fixed("s1-ionos"),
    also: Also::Nothing,
    mail_from: MailFrom::Customer,
    week: OFFICE,
};

/// The customer's own server at a hoster; each customer has one address or two of these networks.
pub static OWN_SERVER: Service = Service {
    name: "own server",
    country: None,
    nets: &[v4(88, 198, 0, 0, 16), v4(51, 68, 0, 0, 16), v4(139, 162, 128, 0, 17), v4(46, 101, 0, 0, 16)],
    addresses: 2,
    signs: "",
    selector: Selector::Fixed("mail2024"),
    also: Also::Nothing,
    mail_from: MailFrom::Customer,
    week: STEADY,
};

/// Every service.
pub static SERVICES: [&Service; 14] = [
    &GOOGLE_WORKSPACE,
    &MICROSOFT_365,
    &AMAZON_SES,
    &SENDGRID,
    &MAILCHIMP,
    &MAILGUN,
    &BREVO,
    &MAILJET,
    &ZENDESK,
    &HUBSPOT,
    &SALESFORCE,
    &ZOHO,
    &IONOS,
    &OWN_SERVER,
];

/// The country of a network that spoofers use, ISO 3166-1 alpha-2.
pub type Hostile = (&'static str, Net);

/// Networks that spoofed mail comes from: access providers and cheap hosters of many countries.
pub static HOSTILE: [Hostile; 14] = [
    ("VN", v4(14, 160, 0, 0, 13)),
    ("BR", v4(177, 32, 0, 0, 14)),
    ("IN", v4(117, 192, 0, 0, 12)),
    ("ID", v4(36, 72, 0, 0, 14)),
    ("TR", v4(78, 160, 0, 0, 12)),
    ("RU", v4(95, 24, 0, 0, 13)),
    ("MX", v4(189, 128, 0, 0, 13)),
    ("CN", v4(113, 64, 0, 0, 12)),
    ("NG", v4(105, 112, 0, 0, 13)),
    ("AR", v4(181, 164, 0, 0, 14)),
    ("EG", v4(41, 32, 0, 0, 13)),
    ("TH", v4(171, 96, 0, 0, 14)),
    ("US", v4(45, 79, 0, 0, 18)),
    ("RO", v4(86, 120, 0, 0, 14)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use tor_geoip::GeoipDb;

    #[test]
    fn address_data_knows_the_countries() {
        let geo = GeoipDb::new_embedded();
        let services = SERVICES.iter().flat_map(|s| s.nets.iter().map(|net| (s.name, s.country, *net)));
        let hostile = HOSTILE.iter().map(|(country, net)| ("spoofer", Some(*country), *net));
        for (name, country, net) in services.chain(hostile) {
            let found = |n| geo.lookup_country_code(net.address(n)).map(|c| c.get().to_owned());
            let right = |found: Option<String>| found.is_some_and(|found| country.is_none_or(|c| c == found));
            let votes = (0..200).filter(|n| right(found(*n))).count();
            assert!(votes >= 190, "{name} {net:?}: {votes} of 200 are in {country:?}, one in {:?}", found(0));
        }
    }
}
