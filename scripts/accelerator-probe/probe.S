    .code16
    .section .text
    .org 0
start16:
    cli
    lgdtl %cs:0xF000 + gdtr - base
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x08, $(0xFFFFF000 + start32 - base)
    .code32
start32:
    movw $0x10, %ax
    movw %ax, %ds
    movl $0x2003, 0x1000
    movl $0, 0x1004
    movl $0x3003, 0x2000
    movl $0, 0x2004
    movl $0x4003, 0x2018
    movl $0, 0x201c
    movl $0x83, 0x3000
    movl $0, 0x3004
    movl $0xFFE00083, 0x4ff8
    movl $0, 0x4ffc
    movl $0x1000, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $0xC0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmpl $0x18, $(0xFFFFF000 + start64 - base)
    .code64
start64:
    movabsq $0x0123456789ABCDEF, %rax
    movq %rax, 0x100000
    movq 0x100000, %rbx
    cmpq %rax, %rbx
    jne halt
    movq $0x90000, %rsp
    # interrupt descriptor table at 0x6000: vector 14 and vector 32
    movl $(0xFFFFF000 + fault - base), %eax
    movl $0x60E0, %edi
    call gate
    movl $(0xFFFFF000 + tick - base), %eax
    movl $0x6200, %edi
    call gate
    movl $(0xFFFFF000 + idtr - base), %eax
    lidt (%rax)
    # a page fault whose handler maps the page
    movq $0x40000000, %rsi
    movq 0x100000(%rsi), %rbx
    cmpq 0x100000, %rbx
    jne halt
    # the local interrupt controller's timer, periodic on vector 32
    movl $0xFEE00093, 0x4fb8
    movl $0, 0x4fbc
    movl $0xFEE00000, %esi
    movl $0x1FF, 0xF0(%rsi)
    movl $0x0B, 0x3E0(%rsi)
    movl $0x20020, 0x320(%rsi)
    movl $0x40000, 0x380(%rsi)
    # enough work to tell execution from emulation
    movl $0x1000000, %ecx
work:
    decl %ecx
    jnz work
    xorl %ebp, %ebp
wait:
    sti
    hlt
    cmpl $3, %ebp
    jb wait
    cli
    movw $0xf4, %dx
    movb $0x2a, %al
    outb %al, %dx
halt:
    hlt
    jmp halt
gate:
    movw %ax, (%rdi)
    movw $0x18, 2(%rdi)
    movw $0x8E00, 4(%rdi)
    shrl $16, %eax
    movw %ax, 6(%rdi)
    movq $0, 8(%rdi)
    ret
fault:
    pushq %rax
    movq $0x5003, %rax
    movq %rax, 0x2008
    movq $0x83, %rax
    movq %rax, 0x5000
    popq %rax
    addq $8, %rsp
    iretq
tick:
    incl %ebp
    movl $0, 0xB0(%rsi)
    iretq
idtr:
    .word 0x20F
    .quad 0x6000
    .balign 8
gdt:
    .quad 0
    .quad 0x00CF9B000000FFFF
    .quad 0x00CF93000000FFFF
    .quad 0x00AF9B000000FFFF
gdtr:
    .word 31
    .long 0xFFFFF000 + gdt - base
    .set base, start16
    .org 0xff0
    .code16
    jmp start16
    .org 0x1000
