//! From the model to lines, in the order that browsers use.
//!
//! RFC 9429 §5.2.1 and §5.3.1. Writes nothing that the model does not have; ICE and DTLS lines stand in each section,
//! where all known implementations find them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use althing_media_core::transport::Protocol;

use super::description::{Description, Section};
use super::simulcast::{RidDirection, Simulcast};

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "v=0\r\no=- {} {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
            self.id, self.version
        )?;
        if self.ice_lite {
            f.write_str("a=ice-lite\r\n")?;
        }
        if self.trickle {
            f.write_str("a=ice-options:trickle\r\n")?;
        }
        if !self.bundle.is_empty() {
            f.write_str("a=group:BUNDLE")?;
            for mid in &self.bundle {
                write!(f, " {}", mid.0)?;
            }
            f.write_str("\r\n")?;
        }
        if self.allow_mixed {
            f.write_str("a=extmap-allow-mixed\r\n")?;
        }
        self.sections.iter().try_for_each(|section| section.write(f))
    }
}

impl Section {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_media(f)?;
        self.write_transport(f)?;
        write!(f, "a=mid:{}\r\n", self.mid.0)?;
        for line in &self.extensions {
            write!(f, "a=extmap:{}", line.id)?;
            if let Some(direction) = line.direction {
                write!(f, "/{}", direction.as_str())?;
            }
            write!(f, " {}\r\n", line.uri)?;
        }
        if self.sctp_port.is_none() {
            write!(f, "a={}\r\n", self.direction.as_str())?;
        }
        if let Some(port) = self.sctp_port {
            write!(f, "a=sctp-port:{port}\r\n")?;
        }
        if let Some(size) = self.max_message_size {
            write!(f, "a=max-message-size:{size}\r\n")?;
        }
        if let Some(msid) = &self.msid {
            let space = if msid.track.is_empty() { "" } else { " " };
            write!(f, "a=msid:{}{space}{}\r\n", msid.stream, msid.track)?;
        }
        if self.rtcp_mux {
            f.write_str("a=rtcp-mux\r\n")?;
        }
        if self.rtcp_rsize {
            f.write_str("a=rtcp-rsize\r\n")?;
        }
        self.write_formats(f)?;
        self.write_sources(f)
    }

    /// The `m=` and `c=` lines: the first UDP candidate, or "told later" (RFC 8840 §4.1.1).
    fn write_media(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = self
            .candidates
            .iter()
            .find(|candidate| candidate.protocol == Protocol::Udp)
            .map(|candidate| (candidate.address.port(), candidate.address.ip()));
        let (port, ip) = default.unwrap_or((9, IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        let port = if self.rejected { 0 } else { port };
        write!(f, "m={} {port} {}", self.kind.as_str(), self.protocol)?;
        for format in &self.formats {
            write!(f, " {}", format.pt.value())?;
        }
        for format in &self.other_formats {
            write!(f, " {format}")?;
        }
        let family = if ip.is_ipv6() { 6 } else { 4 };
        write!(f, "\r\nc=IN IP{family} {ip}\r\n")
    }

    fn write_transport(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for candidate in &self.candidates {
            write!(f, "a={candidate}\r\n")?;
        }
        if self.end_of_candidates {
            f.write_str("a=end-of-candidates\r\n")?;
        }
        if let Some(ice) = &self.ice {
            write!(f, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", ice.ufrag, ice.pwd)?;
        }
        if let Some(fingerprint) = &self.fingerprint {
            write!(f, "a=fingerprint:{fingerprint}\r\n")?;
        }
        match self.setup {
            Some(setup) => write!(f, "a=setup:{setup}\r\n"),
            None => Ok(()),
        }
    }

    fn write_formats(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for format in &self.formats {
            let pt = format.pt.value();
            if format.name.is_empty() {
                continue;
            }
            write!(f, "a=rtpmap:{pt} {}/{}", format.name, format.clock)?;
            if format.channels != 1 {
                write!(f, "/{}", format.channels)?;
            }
            f.write_str("\r\n")?;
            for kind in &format.feedback {
                write!(f, "a=rtcp-fb:{pt} {kind}\r\n")?;
            }
            if !format.fmtp.is_empty() {
                write!(f, "a=fmtp:{pt} {}\r\n", format.fmtp)?;
            }
        }
        Ok(())
    }

    fn write_sources(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.rids {
            let direction = match line.direction {
                RidDirection::Send => "send",
                RidDirection::Recv => "recv",
            };
            write!(f, "a=rid:{} {direction}\r\n", line.rid.0)?;
        }
        if let Some(simulcast) = &self.simulcast {
            write!(f, "a=simulcast:{simulcast}\r\n")?;
        }
        for group in &self.groups {
            write!(f, "a=ssrc-group:{}", group.semantics)?;
            for ssrc in &group.ssrcs {
                write!(f, " {}", ssrc.0)?;
            }
            f.write_str("\r\n")?;
        }
        for line in &self.ssrcs {
            let ssrc = line.ssrc.0;
            if let Some(cname) = &line.cname {
                write!(f, "a=ssrc:{ssrc} cname:{cname}\r\n")?;
            }
            if let Some(msid) = self.msid.as_ref().filter(|msid| !msid.track.is_empty()) {
                write!(f, "a=ssrc:{ssrc} msid:{} {}\r\n", msid.stream, msid.track)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Simulcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for (direction, rids) in [("send", &self.send), ("recv", &self.recv)] {
            for (index, rid) in rids.iter().enumerate() {
                if index == 0 {
                    write!(f, "{space}{direction} {}", rid.0)?;
                } else {
                    write!(f, ";{}", rid.0)?;
                }
                space = " ";
            }
        }
        Ok(())
    }
}
