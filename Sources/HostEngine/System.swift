#if canImport(Glibc)
    import Glibc
#endif

/// The number of processors that the host has online.
func onlineProcessors() -> Int { sysconf(Int32(_SC_NPROCESSORS_ONLN)) }

/// roostd's own process id.
func ownProcessID() -> Int32 { getpid() }
