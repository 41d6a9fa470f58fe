/// The variables of a virtual machine's UEFI firmware, and the flash image that holds them.
///
/// An image is what OVMF calls `OVMF_VARS`: a firmware volume that begins with a variable store and goes on with
/// the working and spare blocks of the fault tolerant writer. `docs/formats/uefi-variables.md` has the layout.
///
/// The image must not be in use by a running virtual machine.
package struct VariableStore: Hashable, Sendable {
    /// The variables, in the order in which the store holds them.
    ///
    /// Only what the firmware would find: deleted and half-written variables are left out.
    package var variables: [Variable]

    /// The image that was parsed; everything but its variables is written back as it was.
    let image: [UInt8]

    /// Where in the image the variables lie.
    let region: Range<Int>

    /// The variable of a key, or nil when the store has none; setting nil removes it.
    ///
    /// A new variable is added at the end.
    package subscript(key: Variable.Key) -> Variable? {
        get { variables.first { $0.key == key } }
        set {
            let index = variables.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let variable?): variables[index] = variable
            case (let index?, nil): variables.remove(at: index)
            case (nil, let variable?): variables.append(variable)
            case (nil, nil): break
            }
        }
    }

    /// The number of bytes that the variables may take, with their headers.
    package var capacity: Int { region.count }
}

/// Sizes, marks and states of EDK2's authenticated variable store (`MdeModulePkg/Include/Guid/VariableFormat.h`).
enum VariableStoreLayout {
    /// The largest image that is read, in bytes: the flash of an ARM virtual machine.
    static let imageMaximum = 64 << 20
    /// Bytes of a store header.
    static let storeHeaderSize = 28
    /// Bytes of a variable header.
    static let variableHeaderSize = 60
    /// Every variable header begins at a multiple of this.
    static let alignment = 4
    /// The first two bytes of a variable header.
    static let startID: UInt16 = 0x55AA
    /// The value of a byte that was never written.
    static let erased: UInt8 = 0xFF
    /// `Format` of a formatted store.
    static let formatted: UInt8 = 0x5A
    /// `State` of a usable store.
    static let healthy: UInt8 = 0xFE

    /// The state of a variable that is in place.
    static let added: UInt8 = 0x3F
    /// The state of a variable whose successor is being written: it counts until the successor is in place.
    static let inDeletedTransition: UInt8 = 0x3E

    /// `offset`, or the next multiple of the alignment.
    static func aligned(_ offset: Int) -> Int { (offset + alignment - 1) & ~(alignment - 1) }
}
