#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A terminal that passes every key on as it is, until ``restore()``.
struct RawTerminal: Sendable {
    private let descriptor: Int32
    private let original: termios

    /// Switches the terminal over; nil when the descriptor is no terminal.
    init?(descriptor: Int32) {
        var settings = termios()
        guard tcgetattr(descriptor, &settings) == 0 else { return nil }
        self.descriptor = descriptor
        original = settings
        cfmakeraw(&settings)
        guard tcsetattr(descriptor, TCSANOW, &settings) == 0 else { return nil }
    }

    /// Gives the terminal its former settings.
    func restore() {
        var settings = original
        _ = tcsetattr(descriptor, TCSADRAIN, &settings)
    }
}
