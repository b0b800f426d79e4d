//! What stands in brackets and braces.

use super::{Body, Event, Item, Items, Line, Read, Reader, unusual};

impl Reader<'_> {
    pub(super) fn in_brackets(&mut self, close: char, map: bool) -> Read<Body> {
        let end = match map {
            true => Event::MappingEnd,
            false => Event::SequenceEnd,
        };
        let mut items = Items {
            flow: true,
            broken: false,
            all: Vec::new(),
            tail: Vec::new(),
        };
        // Comments before the bracket are its owner's.
        let (outside, blank) = self.take_lead();
        self.at += 1;
        let mut open = true;
        loop {
            let line = self.line(self.at);
            self.pass();
            items.broken |= self.line(self.at) > line;
            if *self.peek() == end {
                break;
            }
            if !open {
                return Err(unusual("something where `,` is expected", self.at));
            }
            let (lead, blank) = self.take_lead();
            let mut item = match map {
                true => self.flow_entry()?,
                false => Item {
                    lead: Vec::new(),
                    blank: false,
                    key: None,
                    beside_key: None,
                    value: self.part(true)?,
                    beside: None,
                },
            };
            item.lead.splice(0..0, lead);
            item.blank = blank;
            item.beside = self.beside();
            let line = self.line(self.at);
            self.pass();
            open = self.rest().starts_with(',');
            if open {
                items.broken |= self.line(self.at) > line;
                let (stray, _) = self.take_lead();
                item.lead.extend(stray);
                self.at += 1;
                match (&item.beside, self.beside()) {
                    (None, beside) => item.beside = beside,
                    (Some(_), Some(b)) => item.lead.push(Line {
                        blank: false,
                        text: b.text,
                        column: 0,
                    }),
                    (Some(_), None) => {}
                }
            } else {
                items.broken |= self.line(self.at) > line;
            }
            items.all.push(item);
        }
        self.next += 1;
        items.tail = self.take_lead().0;
        self.expect(close)?;
        (self.pending, self.blank) = (outside, blank);
        Ok(match map {
            true => Body::Map(items),
            false => Body::Seq(items),
        })
    }

    /// `key: value` in braces or brackets.
    pub(super) fn flow_entry(&mut self) -> Read<Item> {
        if self.sees('?') {
            return Err(unusual("a key with `?`", self.at));
        }
        let key = self.part(true)?;
        if !matches!(key.body, Body::Scalar(_) | Body::Alias(_)) {
            return Err(unusual("a key that is no simple text", key.at));
        }
        let before = self.at;
        self.pass();
        if self.rest().starts_with(':') {
            self.at += 1;
        } else if self.pending.is_empty() {
            self.at = before;
            self.blank = false;
        }
        let value = self.part(true)?;
        let (lead, _) = self.take_lead();
        Ok(Item {
            lead,
            blank: false,
            key: Some(key),
            beside_key: None,
            value,
            beside: None,
        })
    }
}
