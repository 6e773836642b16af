use super::*;

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

const CONNECTIONS: Connections = Connections {
    shared_info: 0x1234_5000,
    xenstore_port: 1,
    is_xenstore: false,
    console_port: 2,
};

#[test]
fn the_start_info_is_laid_out_as_the_header_says() {
    let layout = Layout::new(&linux(32768, 4097)).unwrap();
    let info = layout.start_info_bytes(&CONNECTIONS, b"console=hvc0", mfn_of).unwrap();
    assert_eq!(info.len(), 1168);
    assert_eq!(&info[..16], b"xen-3.0-x86_64\0\0");
    assert_eq!(word(&info, 32), 32768);
    assert_eq!(word(&info, 40), 0x1234_5000);
    assert_eq!(half(&info, 48), 0x18, "module by frame, linear p2m list");
    assert_eq!(word(&info, 56), mfn_of(layout.xenstore.pfn));
    assert_eq!(half(&info, 64), 1);
    assert_eq!(word(&info, 72), mfn_of(layout.console.pfn));
    assert_eq!(half(&info, 80), 2);
    assert_eq!(word(&info, 88), LINUX_BASE + layout.page_tables.pfn * 4096);
    assert_eq!(word(&info, 96), layout.page_tables.pages);
    assert_eq!(word(&info, 104), LINUX_INIT_P2M);
    assert_eq!(word(&info, 112), layout.ramdisk.unwrap().placement.pfn);
    assert_eq!(word(&info, 120), 4097);
    assert_eq!(&info[128..141], b"console=hvc0\0");
    assert_eq!(word(&info, 1152), layout.p2m_list.pfn);
    assert_eq!(word(&info, 1160), layout.p2m_list.pages + layout.p2m_tables.pages);

    let layout = Layout::new(&Input {
        ramdisk_bytes: 10,
        ..tiny(2048)
    })
    .unwrap();
    let info = layout.start_info_bytes(&CONNECTIONS, b"", mfn_of).unwrap();
    assert_eq!(half(&info, 48), 0x10);
    assert_eq!(word(&info, 104), layout.p2m_list.va.unwrap());
    assert_eq!(word(&info, 112), layout.ramdisk.unwrap().placement.va.unwrap());
    assert_eq!(word(&info, 1152), 0);

    // The ramdisk goes by its frame even where it happens to be mapped.
    let layout = Layout::new(&Input {
        kernel_end_va: LINUX_BASE + (62 << 20),
        ..linux(0x4000, 5 << 20)
    })
    .unwrap();
    let info = layout.start_info_bytes(&CONNECTIONS, b"", mfn_of).unwrap();
    assert_eq!((half(&info, 48), word(&info, 112), word(&info, 1152)), (0x18, 256, 0));
}

#[test]
fn the_store_is_told_its_builders_port_and_no_frame() {
    let layout = Layout::new(&linux(32768, 0)).unwrap();
    let connections = Connections {
        is_xenstore: true,
        ..CONNECTIONS
    };
    let info = layout.start_info_bytes(&connections, b"", mfn_of).unwrap();
    assert_eq!((word(&info, 56), half(&info, 64)), (0, 1));
}

#[test]
fn a_command_line_is_whole_or_refused() {
    let layout = Layout::new(&tiny(2048)).unwrap();
    let make = |line: &[u8]| layout.start_info_bytes(&CONNECTIONS, line, mfn_of);
    let longest = [b'x'; COMMAND_LINE_MAX];
    assert_eq!(make(&longest).unwrap()[128 + COMMAND_LINE_MAX], 0);
    assert_eq!(
        make(&[b'x'; COMMAND_LINE_MAX + 1]),
        Err(Error::CommandLineLength { bytes: 1024 })
    );
    assert_eq!(make(b"a\0b"), Err(Error::CommandLineZero { offset: 1 }));
}
