import RoostAPI

/// Asks on the terminal whether something is to be done.
///
/// - Throws: `APIError` `.cancelled` for any answer but yes, `.invalidArgument` when nobody can be asked.
func confirm(_ question: String, yes: Bool, nothing: String) throws {
    guard !yes else { return }
    guard FileDescriptor.standardInput.isTerminal else {
        throw APIError(.invalidArgument, "\(nothing): without a terminal to ask on, give --yes")
    }
    try FileDescriptor.standardError.write("\(question) [y/N] ")
    guard ["y", "yes"].contains((readLine() ?? "").lowercased()) else { throw APIError(.cancelled, nothing) }
}
