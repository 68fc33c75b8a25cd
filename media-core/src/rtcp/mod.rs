//! RTCP: what we make, consume, forward and ignore, one file per message.
