import RoostPrimitives

/// Makes text from the host or a guest safe to print: whatever could steer a terminal is shown as an escape.
///
/// Escaped are control characters (C0, DEL, C1), line and paragraph separators, and the marks that reorder text.
func printable(_ text: String) -> String {
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        if isPrintable(scalar) {
            result.append(scalar)
        } else {
            result.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
        }
    }
    return String(result)
}

private func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F...0x9F, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: false
    default: true
    }
}

/// Cuts text to a number of characters; the last one is then an ellipsis.
func truncated(_ text: String, to width: Int) -> String {
    guard width > 0, text.utf8.count > width, text.unicodeScalars.count > width else { return text }
    var scalars = String.UnicodeScalarView(text.unicodeScalars.prefix(width - 1))
    scalars.append("…")
    return String(scalars)
}

/// Seconds as `04:05:06`, from a day on as `3d 04:05:06`.
func durationText(seconds: Int) -> String {
    let seconds = max(seconds, 0)
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let clock = "\(two(seconds / 3600 % 24)):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
    return seconds < 86_400 ? clock : "\(seconds / 86_400)d \(clock)"
}

/// An amount of memory given in MiB, as `512 MiB` or `1.5 GiB`.
func memoryText(_ mebibytes: UInt64) -> String { ByteCount.mebibytes(mebibytes).description }

/// An amount of storage, as `10 GiB`.
func sizeText(_ bytes: UInt64) -> String { ByteCount(bytes: bytes).description }
