# What compilers call for copying, filling and comparing memory; compiler_builtins leaves these to a C library on this
# target. Large blocks go by 64 bytes through SSE registers, which is quick on processors and under emulation alike.

.pushsection .text.mem, "ax", @progbits

# void *memcpy(void *to, const void *from, size_t count)
.global memcpy
.balign 16
memcpy:
    mov rax, rdi
.Lforward:
    mov rcx, rdx
    shr rcx, 6
    jz 2f
1:  movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + 32]
    movups xmm3, [rsi + 48]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + 32], xmm2
    movups [rdi + 48], xmm3
    add rsi, 64
    add rdi, 64
    dec rcx
    jnz 1b
2:  mov ecx, edx
    and ecx, 63
    shr ecx, 3
    jz 4f
3:  mov r8, [rsi]
    mov [rdi], r8
    add rsi, 8
    add rdi, 8
    dec ecx
    jnz 3b
4:  and edx, 7
    jz 6f
5:  mov r8b, [rsi]
    mov [rdi], r8b
    inc rsi
    inc rdi
    dec edx
    jnz 5b
6:  ret

# void *memmove(void *to, const void *from, size_t count)
.global memmove
.balign 16
memmove:
    mov rax, rdi
    mov rcx, rdi
    sub rcx, rsi
    cmp rcx, rdx
    jae .Lforward          # to lies below from, or beyond its end
    lea rsi, [rsi + rdx]
    lea rdi, [rdi + rdx]
    mov rcx, rdx
    shr rcx, 3
    jz 2f
1:  sub rsi, 8
    sub rdi, 8
    mov r8, [rsi]
    mov [rdi], r8
    dec rcx
    jnz 1b
2:  and edx, 7
    jz 4f
3:  dec rsi
    dec rdi
    mov r8b, [rsi]
    mov [rdi], r8b
    dec edx
    jnz 3b
4:  ret

# void *memset(void *to, int byte, size_t count)
.global memset
.balign 16
memset:
    mov rax, rdi
    movzx esi, sil
    mov r8, 0x0101010101010101
    imul r8, rsi
    movq xmm0, r8
    punpcklqdq xmm0, xmm0
    mov rcx, rdx
    shr rcx, 6
    jz 2f
1:  movups [rdi], xmm0
    movups [rdi + 16], xmm0
    movups [rdi + 32], xmm0
    movups [rdi + 48], xmm0
    add rdi, 64
    dec rcx
    jnz 1b
2:  and edx, 63
    mov ecx, edx
    shr ecx, 3
    jz 4f
3:  mov [rdi], r8
    add rdi, 8
    dec ecx
    jnz 3b
4:  and edx, 7
    jz 6f
5:  mov [rdi], r8b
    inc rdi
    dec edx
    jnz 5b
6:  ret

# int memcmp(const void *a, const void *b, size_t count), int bcmp(...)
.global memcmp
.global bcmp
.balign 16
memcmp:
bcmp:
    mov rcx, rdx
    shr rcx, 3
    jz 2f
1:  mov r8, [rdi]
    mov r9, [rsi]
    cmp r8, r9
    jne 5f
    add rdi, 8
    add rsi, 8
    dec rcx
    jnz 1b
2:  and edx, 7
    jz 4f
3:  movzx eax, byte ptr [rdi]
    movzx ecx, byte ptr [rsi]
    sub eax, ecx
    jnz 6f
    inc rdi
    inc rsi
    dec edx
    jnz 3b
4:  xor eax, eax
    ret
5:  bswap r8
    bswap r9
    xor eax, eax
    cmp r8, r9
    seta al
    sbb ecx, ecx
    or eax, ecx
6:  ret

# size_t strlen(const char *text)
.global strlen
strlen:
    xor eax, eax
1:  cmp byte ptr [rdi + rax], 0
    je 2f
    inc rax
    jmp 1b
2:  ret

.popsection
