import QMP

/// The first byte says where the rest is cut in two: a session must do the same however its bytes arrive.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    guard let first = input.first else { return 0 }
    let rest = Array(input.dropFirst())
    let cut = min(Int(first), rest.count)
    var whole = QMPSession()
    var pieces = QMPSession()
    let actions = whole.receive(rest)
    precondition(actions == pieces.receive(rest[..<cut]) + pieces.receive(rest[cut...]), "pieces make a difference")
    if let value = try? JSONValue(parsing: rest) {
        precondition((try? JSONValue(parsing: value.serialized)) == value, "reads differently from what was written")
    }
    return 0
}
