import CrashMatrix

#if canImport(Glibc)
    import Glibc
#endif

/// Prints the crash matrix as a table in Markdown.
exit(MatrixCommand(Array(CommandLine.arguments.dropFirst())).run())
