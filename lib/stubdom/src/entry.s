# Xen notes, entry, hypercalls, event and trap entries of a paravirtual 64-bit domain.
# Sources: public/elfnote.h, public/xen.h (start of day), public/arch-x86/xen-x86_64.h.

.macro xen_note_number type, value
    .balign 4
    .long 4, 8, \type
    .asciz "Xen"
    .quad \value
.endm
.macro xen_note_text type, text
    .balign 4
    .long 4, 2f - 1f, \type
    .asciz "Xen"
1:  .asciz "\text"
2:  .balign 4
.endm

.pushsection .note.Xen, "a", @note
    xen_note_text 6, "domb-stubdom"            # XEN_ELFNOTE_GUEST_OS
    xen_note_text 5, "xen-3.0"                 # XEN_ELFNOTE_XEN_VERSION
    xen_note_text 8, "generic"                 # XEN_ELFNOTE_LOADER
    xen_note_number 3, 0                       # XEN_ELFNOTE_VIRT_BASE
    xen_note_number 4, 0                       # XEN_ELFNOTE_PADDR_OFFSET
    xen_note_number 1, stubdom_entry           # XEN_ELFNOTE_ENTRY
    xen_note_number 2, __hypercall_page        # XEN_ELFNOTE_HYPERCALL_PAGE
    xen_note_text 9, "yes"                     # XEN_ELFNOTE_PAE_MODE
    xen_note_number 16, 1                      # XEN_ELFNOTE_MOD_START_PFN: the ramdisk may lie outside the first map
    xen_note_text 10, "!writable_page_tables|pae_pgdir_above_4gb"   # XEN_ELFNOTE_FEATURES
.popsection

.pushsection .text.entry, "ax", @progbits
.global stubdom_entry
stubdom_entry:
    lea rsp, [rip + __stack_top]
    xor ebp, ebp
    mov rdi, rsi
    cld
    call stubdom_start
    ud2

# isize stubdom_hypercall(usize op, const usize arguments[5])
.global stubdom_hypercall
stubdom_hypercall:
    mov rax, rdi
    shl rax, 5
    lea rcx, [rip + __hypercall_page]
    add rax, rcx
    mov r9, rsi
    mov rdi, [r9]
    mov rsi, [r9 + 8]
    mov rdx, [r9 + 16]
    mov r10, [r9 + 24]
    mov r8, [r9 + 32]
    jmp rax

# An event came while this domain let it: Xen masked further ones. Nothing to do but to go on; the loop looks.
.global stubdom_event_entry
stubdom_event_entry:
    pop rcx
    pop r11
    or byte ptr [rsp + 8], 3   # Xen shows the kernel's code segment with privilege 0; the processor runs it with 3
    iretq

# A selector could not be reloaded: cannot happen with flat segments.
.global stubdom_failsafe_entry
stubdom_failsafe_entry:
    ud2

# Traps: Xen pushed ss, rsp, rflags, cs, rip, maybe an error code, r11, rcx.
.macro trap_entry vector, has_error
.global stubdom_trap_\vector
stubdom_trap_\vector:
    .if \has_error == 0
        pop rcx
        pop r11
        push 0
        push r11
        push rcx
    .endif
    mov esi, \vector
    mov rdx, rbp
    mov rdi, rsp
    and rsp, -16
    call stubdom_trap
    ud2
.endm
trap_entry 0, 0
trap_entry 3, 0
trap_entry 4, 0
trap_entry 5, 0
trap_entry 6, 0
trap_entry 7, 0
trap_entry 10, 1
trap_entry 11, 1
trap_entry 12, 1
trap_entry 13, 1
trap_entry 14, 1
trap_entry 16, 0
trap_entry 17, 1
trap_entry 19, 0
.popsection
