import Testing

/// Everything together on real QEMU: one test at a time, because guests under software emulation need the processors.
@Suite(.serialized) struct Integration {}
