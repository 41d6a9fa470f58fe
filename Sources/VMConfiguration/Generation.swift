/// The kind of a virtual machine's hardware; it never changes.
public enum Generation: Int, Hashable, Sendable, CaseIterable {
    /// A PC with BIOS, IDE and PCI; stored as the subtype 0.
    case one = 1
    /// A machine with UEFI and without legacy devices; stored as the subtype 1.
    case two = 2

    /// The generation with the number that the key `properties/subtype` holds; nil for other kinds of machines.
    public init?(subtype: Int64) {
        switch subtype {
        case 0: self = .one
        case 1: self = .two
        default: return nil
        }
    }

    /// The number that the key `properties/subtype` holds.
    public var subtype: Int64 { Int64(rawValue - 1) }
}
