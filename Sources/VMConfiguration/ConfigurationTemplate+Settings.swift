import HyperVStorage
import RoostPrimitives

extension ConfigurationTemplate {
    /// The node `settings`, with default processors and memory.
    ///
    /// The limits of a virtual NUMA node, which Hyper-V takes from its host, let one node hold everything.
    var settings: KeyNode {
        let topology = KeyNode(
            "topology",
            children: since(.v6_0, .int("high_mmio_gap_mb", 512)) + [.int("low_mmio_gap_mb", 128)]
        )
        let global: [KeyNode] = [.node("global", .text("logical_id", machine.id.uppercased))]
        let stopped: [KeyNode] = version < .v6_0 ? [.bool("stopped_at_host_shutdown", false)] : []
        return KeyNode(
            "settings",
            children: global
                + since(.v9_0, .bool("guest_controlled_cache_types", false))
                + [memory, processors]
                + stopped
                + [topology, .node("vnuma", .bool("enabled", true))]
        )
    }

    private var memory: KeyNode {
        let defaults = MemorySettings()
        let bank = KeyNode(
            "bank",
            children: since(.v9_0, .int("backing_type", 0)) + [
                .bool("dynamic_memory_enabled", defaults.dynamicMemoryEnabled),
                .int("limit", Int64(clamping: defaults.maximum)),
                .int("priority", Int64(defaults.priority)),
                .int("reservation", Int64(clamping: defaults.minimum)),
                .int("size", Int64(clamping: defaults.startup)),
                .int("target_memory_buffer", Int64(defaults.buffer)),
            ]
        )
        let nodeSize: KeyNode = .int("max_size_per_node", Int64(clamping: version.maximumMemoryMiB))
        return KeyNode(
            "memory",
            children: [bank]
                + since(.v9_0, .node("sgx", .bool("enabled", false), .int("size", 0)))
                + [.node("vnuma", nodeSize)]
        )
    }

    private var processors: KeyNode {
        let defaults = ProcessorSettings()
        let late = since(
            .v9_0,
            .text("cpu_group_guid", GUID.zero.lowercased),
            .int("cpu_group_id", 0),
            .bool("enable_perfmon_lbr", false),
            .bool("enable_perfmon_pebs", false),
            .bool("enable_perfmon_pmu", false)
        )
        return KeyNode(
            "processors",
            children: [.int("count", Int64(defaults.count))]
                + late
                + [.node("features", .bool("limit", false))]
                + since(.v9_0, .bool("hide_hypervisor_present", false))
                + since(.v8_0, .int("hwthreads", Int64(defaults.threadsPerCore)))
                + [.int("limit", Int64(defaults.limit)), .bool("limit_cpuid", false)]
                + since(.v8_0, .node("nested_virtualization", .bool("enabled", false)))
                + [
                    .int("reservation", Int64(defaults.reservation)),
                    .node(
                        "vnuma",
                        .node("count_per_node", .int("max", Int64(version.maximumProcessorCount))),
                        .node("node_per_socket", .int("max", 1))
                    ),
                    .int("weight", Int64(defaults.weight)),
                ]
        )
    }
}
