//! Netlink messages: a header, the family's own header, attributes.

const NLMSG_HEADER: usize = 16;
const NFGEN_HEADER: usize = 4;
const NLA_HEADER: usize = 4;
const NLA_NESTED: u16 = 0x8000;
const NLA_TYPE: u16 = 0x3fff;

fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Attributes in the making.
#[derive(Debug, Clone, Default)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an attribute of raw bytes.
    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        self.push(kind, value);
        self
    }

    /// Adds an attribute of text that ends with a NUL.
    pub fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Adds a number in network byte order.
    pub fn be32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds a number in host byte order.
    pub fn ne32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Adds a number in network byte order.
    pub fn be64(self, kind: u16, value: u64) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds a group of attributes.
    pub fn nest(mut self, kind: u16, inner: Attributes) -> Self {
        self.push(kind | NLA_NESTED, &inner.0);
        self
    }

    fn push(&mut self, kind: u16, value: &[u8]) {
        // What is made here is a rule of a few hundred bytes at most.
        let length = (NLA_HEADER + value.len()) as u16;
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(align(self.0.len()), 0);
    }
}

/// One message to the kernel.
#[derive(Debug, Clone)]
pub struct Message {
    /// Type; for netfilter the subsystem in the high byte, the message's type in the low one.
    pub kind: u16,
    /// Netlink flags.
    pub flags: u16,
    /// The family's own header.
    pub header: Vec<u8>,
    /// Attributes.
    pub attributes: Attributes,
}

/// Netfilter's header: address family and resource id.
pub fn netfilter_header(family: u8, resource: u16) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    vec![family, 0, high, low]
}

impl Message {
    /// Writes the message with its sequence number to the end of `out`.
    pub fn encode(&self, sequence: u32, out: &mut Vec<u8>) {
        let length = NLMSG_HEADER + self.header.len() + self.attributes.0.len();
        out.extend_from_slice(&(length as u32).to_ne_bytes());
        out.extend_from_slice(&self.kind.to_ne_bytes());
        out.extend_from_slice(&self.flags.to_ne_bytes());
        out.extend_from_slice(&sequence.to_ne_bytes());
        out.extend_from_slice(&0u32.to_ne_bytes());
        out.extend_from_slice(&self.header);
        out.extend_from_slice(&self.attributes.0);
    }
}

/// One message from the kernel.
#[derive(Debug)]
pub struct Received<'a> {
    /// Message type.
    pub kind: u16,
    /// Sequence number of what it answers.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Received<'a> {
    /// The messages in a datagram; what is cut short is left out.
    pub fn all(mut datagram: &'a [u8]) -> impl Iterator<Item = Received<'a>> {
        std::iter::from_fn(move || {
            let length = u32::from_ne_bytes(datagram.get(..4)?.try_into().ok()?) as usize;
            let header = datagram.get(..NLMSG_HEADER)?;
            let body = datagram.get(NLMSG_HEADER..length)?;
            datagram = datagram.get(align(length)..).unwrap_or_default();
            Some(Received {
                kind: u16::from_ne_bytes([header[4], header[5]]),
                sequence: u32::from_ne_bytes(header[8..12].try_into().ok()?),
                body,
            })
        })
    }

    /// The error number of an error message, 0 for an acknowledgement.
    pub fn errno(&self) -> Option<i32> {
        let bytes = self.body.get(..4)?.try_into().ok()?;
        (self.kind == libc::NLMSG_ERROR as u16).then(|| -i32::from_ne_bytes(bytes))
    }

    /// The attributes behind netfilter's header.
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        nla(self.body.get(NFGEN_HEADER..).unwrap_or_default())
    }
}

/// The attributes in `bytes`; what is cut short is left out.
pub fn nla(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & NLA_TYPE;
        let value = bytes.get(NLA_HEADER..length)?;
        bytes = bytes.get(align(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_back() {
        let inner = Attributes::new().be32(1, 7);
        let made = Attributes::new()
            .text(1, "ab")
            .nest(2, inner)
            .bytes(3, &[9]);
        let read: Vec<_> = nla(&made.0).collect();
        assert_eq!(read[0], (1, &b"ab\0"[..]));
        assert_eq!(nla(read[1].1).next(), Some((1, &[0, 0, 0, 7][..])));
        assert_eq!(read[2], (3, &[9][..]));
        assert_eq!(made.0.len() % 4, 0);
    }

    #[test]
    fn cut_messages_are_left_out() {
        let message = Message {
            kind: 5,
            flags: 1,
            header: netfilter_header(2, 3),
            attributes: Attributes::new().be32(1, 2),
        };
        let mut wire = Vec::new();
        message.encode(9, &mut wire);
        assert_eq!(Received::all(&wire).next().unwrap().sequence, 9);
        for cut in 0..wire.len() {
            assert!(Received::all(&wire[..cut]).next().is_none(), "{cut}");
        }
    }
}
