use super::*;
use crate::{Action, FrameReader, FrameWriter, Full, Identity, Profile, Record, WriterOptions};

const VALUES: [&[u8]; 3] = [b"", b"tenant 17", &[7; 64]];
const FIELDS: TrailerFields = TrailerFields {
    protection: Protection::None,
    key: 1,
    flow: 2,
    lane: 3,
    epoch: 0x0405_0607_0809_0a0b,
    sequence: 0x0c0d_0e0f_1011_1213,
    clock: 0x1415_1617,
    flags: trailer_flags::REPORT,
};

fn state_option(n: usize) -> StateOption<'static> {
    StateOption {
        kind: option_kind::STATE_OPAQUE,
        id: Identity { id: n as u64, creator: 9 },
        value: VALUES[n],
    }
}

/// A frame with one identity and these options.
fn frame(profile: Profile, options: usize, protection: Protection) -> Vec<u8> {
    let mut buffer = vec![0xee; 1480];
    let mut writer = FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).unwrap();
    writer.begin_trailer(protection).unwrap();
    for n in 0..options {
        writer.push_state_option(&state_option(n)).unwrap();
    }
    writer.push_id(Action::InsertAck, Identity { id: 1, creator: 2 }).unwrap();
    let length = writer.finish_with(&FIELDS);
    buffer.truncate(length);
    buffer
}

fn trailer(frame: &[u8]) -> Result<Option<Trailer<'_>>, TrailerError> {
    FrameReader::new(frame).unwrap().trailer()
}

#[test]
fn fields_and_options_read_back_in_every_dialect() {
    for profile in Profile::ALL {
        for protection in [Protection::None, Protection::Gmac] {
            for options in 0..=3 {
                let frame = frame(profile, options, protection);
                let trailer = trailer(&frame).unwrap().unwrap();
                assert_eq!(*trailer.fields(), TrailerFields { protection, ..FIELDS });
                assert_eq!(trailer.tag(), vec![0; protection.tag_bytes()]);
                let mut read: Vec<_> = trailer.options().map(|read| read.unwrap().state().unwrap()).collect();
                read.reverse();
                assert_eq!(read, (0..options).map(state_option).collect::<Vec<_>>());
                let mut reader = FrameReader::new(&frame).unwrap();
                assert_eq!(reader.length() + trailer.length(), frame.len());
                let region = reader.next_region().unwrap().unwrap();
                assert_eq!((region.action(), region.count()), (Action::InsertAck, 1));
                // FreeBSD counts a frame with bytes behind its end mark.
                assert!(reader.next_region().is_none(), "{profile}");
            }
        }
    }
}

#[test]
fn the_bytes_are_the_documented_ones() {
    let mut buffer = [0xee; 200];
    let mut writer = FrameWriter::new(&mut buffer, Profile::OpenBsd6, &WriterOptions::default()).unwrap();
    let id = Identity { id: 0x0102_0304_0506_0708, creator: 0x0a0b_0c0d };
    writer.begin_trailer(Protection::Gmac).unwrap();
    writer.push_state_option(&StateOption { kind: option_kind::STATE_FIELDS, id, value: b"abcde" }).unwrap();
    let length = writer.finish_with(&FIELDS);
    assert_eq!((length, buffer[2..4].to_vec()), (20 + 32 + 24 + 16, vec![0, 20]));
    let header: Vec<u8> = [0xd5, 0x70, 0x66, 0x73, 0x11].into_iter().chain(1..0x18).collect();
    assert_eq!(buffer[20..48], header);
    assert_eq!(buffer[48..52], [0, 24, 0, 1]);
    assert_eq!(buffer[52..68], [17, 0, 0, 17, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13]);
    assert_eq!(buffer[68..76], *b"abcde\0\0\0");
    assert_eq!(buffer[76..92], [0; 16]);
}

#[test]
fn an_option_that_does_not_fit_leaves_the_frame_as_it_is() {
    for profile in Profile::ALL {
        let mut buffer = [0; 100];
        let mut writer = FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).unwrap();
        let free = writer.remaining();
        assert_eq!(writer.push_state_option(&state_option(2)), Err(Full));
        assert_eq!(writer.remaining(), free, "the trailer was not begun either");
        writer.push_state_option(&state_option(1)).unwrap();
        let end_mark = if profile == Profile::OpenBsd6 { 0 } else { 4 };
        assert_eq!(writer.remaining(), free + end_mark - 32 - 28);
        assert_eq!(writer.push_state_option(&state_option(1)), Err(Full));
        assert_eq!(writer.begin_trailer(Protection::None), Err(Full), "it has begun");
        let length = writer.finish();
        let trailer = trailer(&buffer[..length]).unwrap().unwrap();
        assert_eq!(
            trailer.options().map(|read| read.unwrap().state().unwrap()).collect::<Vec<_>>(),
            [state_option(1)]
        );
    }
}

#[test]
fn bytes_of_the_callers_own_exclude_a_trailer() {
    let mut buffer = [0; 300];
    let options = WriterOptions { trailer: 8, ..WriterOptions::default() };
    let mut writer = FrameWriter::new(&mut buffer, Profile::FreeBsd1400, &options).unwrap();
    assert_eq!(writer.push_option(&TrailerOption { kind: 1, value: &[] }), Err(Full));
    assert_eq!(writer.begin_trailer(Protection::Gmac), Err(Full));
    assert_eq!(writer.finish_with(&FIELDS), 28);
    assert_eq!(trailer(&buffer[..28]), Ok(None));
}

#[test]
fn a_packet_is_never_longer_than_ip_allows() {
    let mut buffer = vec![0; 140_000];
    let mut writer = FrameWriter::new(&mut buffer, Profile::OpenBsd6, &WriterOptions::default()).unwrap();
    let half = TrailerOption { kind: 9, value: &[1; 32700] };
    assert_eq!(writer.push_option(&TrailerOption { kind: 9, value: &[1; 65536] }), Err(Full));
    assert_eq!((writer.push_option(&half), writer.push_option(&half)), (Ok(()), Ok(())));
    assert_eq!(writer.push_option(&TrailerOption { kind: 9, value: &[1; 100] }), Err(Full));
    while writer.push_id(Action::InsertAck, Identity::BULK).is_ok() {}
    let length = writer.finish();
    assert!(length <= 65535, "{length}");
    assert_eq!(trailer(&buffer[..length]).unwrap().unwrap().options().count(), 2);
}

#[test]
fn bytes_without_the_magic_are_no_trailer() {
    let mut whole = frame(Profile::OpenBsd6, 3, Protection::Gmac);
    let start = FrameReader::new(&whole).unwrap().length();
    for at in start..start + 4 {
        whole[at] ^= 1;
        assert_eq!(trailer(&whole), Ok(None));
        whole[at] ^= 1;
    }
    assert_eq!(Trailer::parse(&[]), Ok(None));
    assert_eq!(Trailer::parse(&MAGIC[..3]), Ok(None));
}

#[test]
fn every_hostile_length_and_format_is_refused_by_its_cause() {
    for protection in [Protection::None, Protection::Gmac] {
        let whole = frame(Profile::FreeBsd1500, 2, protection);
        let start = FrameReader::new(&whole).unwrap().length();
        for end in start + 4..whole.len() {
            let expected = if end < start + 32 { TrailerError::Short } else { TrailerError::Length };
            assert_eq!(trailer(&whole[..end]), Err(expected), "{end}");
        }
        let mut longer = whole.clone();
        for _ in 0..40 {
            longer.push(0);
            assert_eq!(trailer(&longer), Err(TrailerError::Length));
        }
        let mut damaged = whole.clone();
        let options = u16::from_be_bytes([whole[start + 28], whole[start + 29]]);
        for other in (0..=u16::MAX).filter(|&other| other != options) {
            damaged[start + 28..start + 30].copy_from_slice(&other.to_be_bytes());
            assert_eq!(trailer(&damaged), Err(TrailerError::Length));
        }
        damaged.clone_from(&whole);
        for format in 0..=u8::MAX {
            damaged[start + 4] = format;
            match format {
                0x10..=0x12 => {
                    let known = Protection::from_number(format & 0x0f).unwrap();
                    // An encrypted frame has more than options before its tag.
                    let fits = known.tag_bytes() == protection.tag_bytes();
                    assert_eq!(trailer(&damaged).is_ok(), fits, "{format}");
                }
                _ => assert_eq!(trailer(&damaged), Err(TrailerError::Format)),
            }
        }
    }
}

#[test]
fn damaged_options_are_read_up_to_the_damage() {
    let whole = frame(Profile::OpenBsd6, 3, Protection::None);
    let first = FrameReader::new(&whole).unwrap().length() + TRAILER_BYTES;
    let read = |frame: &[u8]| {
        let options: Vec<_> = trailer(frame).unwrap().unwrap().options().collect();
        (options.iter().flatten().count(), options.iter().filter(|option| option.is_err()).count())
    };
    assert_eq!(read(&whole), (3, 0));
    for (at, value, expected) in [
        (first + 2, 0xff, (0, 1)),         // longer than the trailer
        (first + 3, 73, (3, 0)),           // a shorter value with the same padding
        (first + 80 + 2, 0xff, (1, 1)),    // the second one
        (first + 80 + 28 + 3, 13, (2, 1)), // the last one, longer than what is left
        (first, 99, (3, 0)),               // an unknown kind
    ] {
        let mut damaged = whole.clone();
        damaged[at] = value;
        assert_eq!(read(&damaged), expected, "{at} {value}");
    }
}

#[test]
fn an_option_about_a_state_needs_an_identity() {
    let option = |kind, value| TrailerOption { kind, value }.state();
    assert_eq!(option(option_kind::STATE_OPAQUE, &[0; 11]), None);
    assert_eq!(option(option_kind::ELECTION, &[0; 48]), None);
    let about = option(option_kind::STATE_FIELDS, &[1; 12]).unwrap();
    assert_eq!((about.id.creator, about.value), (0x0101_0101, &[][..]));
}

#[test]
fn an_empty_frame_with_a_trailer_has_no_region() {
    for profile in Profile::ALL {
        let mut buffer = [0xee; 200];
        let mut writer = FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).unwrap();
        writer.push_option(&TrailerOption { kind: option_kind::ELECTION, value: &[5; 48] }).unwrap();
        assert!(writer.is_empty());
        let length = writer.finish();
        assert_eq!((length, buffer[2..4].to_vec()), (20 + 32 + 52, vec![0, 20]), "{profile}");
        assert!(FrameReader::new(&buffer[..length]).unwrap().next_region().is_none());
    }
}

#[test]
fn records_fill_the_frame_up_to_the_trailer() {
    for profile in Profile::ALL {
        let mut buffer = [0xee; 1480];
        let mut writer = FrameWriter::new(&mut buffer, profile, &WriterOptions::default()).unwrap();
        writer.begin_trailer(Protection::Gmac).unwrap();
        let mut pushed = 0;
        while writer.push_id(Action::DeleteCompressed, Identity { id: pushed, creator: 1 }).is_ok() {
            pushed += 1;
        }
        let length = writer.finish_with(&FIELDS);
        assert!((1480 - 15..=1480).contains(&length), "{profile} {length}");
        let mut reader = FrameReader::new(&buffer[..length]).unwrap();
        let region = reader.next_region().unwrap().unwrap();
        assert!(region.records().all(|record| matches!(record, Record::Id(_))));
        assert_eq!(u64::from(region.count()), pushed);
        assert_eq!(trailer(&buffer[..length]).unwrap().unwrap().tag(), [0; 16]);
    }
}

#[test]
fn an_encrypted_frame_has_any_length_from_its_options_and_tag_on() {
    let whole = frame(Profile::FreeBsd1500, 2, Protection::Gcm);
    let start = FrameReader::new(&whole).unwrap().length();
    let options = usize::from(u16::from_be_bytes([whole[start + 28], whole[start + 29]]));
    for end in start + 4..whole.len() {
        let bytes = (end - start).checked_sub(TRAILER_BYTES);
        let expected = match bytes {
            None => Err(TrailerError::Short),
            Some(bytes) if bytes < options + TAG_BYTES => Err(TrailerError::Length),
            Some(bytes) => Ok(bytes - TAG_BYTES),
        };
        let read = trailer(&whole[..end]).map(|read| read.unwrap().encrypted_bytes().len());
        assert_eq!(read, expected, "{end}");
    }
}
