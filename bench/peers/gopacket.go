// Flows of a trace with gopacket: its fastest decoder, and a map. Prints packets and flows.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

type key struct {
	src, dst         [16]byte
	srcPort, dstPort uint16
	protocol         uint8
	vlan             uint16
}

type flow struct {
	packets, bytes [2]uint64
	first, last    int64
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	reader, err := pcapgo.NewReader(file)
	if err != nil {
		log.Fatal(err)
	}
	var eth layers.Ethernet
	var tag layers.Dot1Q
	var ip4 layers.IPv4
	var ip6 layers.IPv6
	var tcp layers.TCP
	var udp layers.UDP
	var icmp4 layers.ICMPv4
	var icmp6 layers.ICMPv6
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &eth, &tag, &ip4, &ip6, &tcp, &udp, &icmp4, &icmp6)
	parser.IgnoreUnsupported = true
	decoded := make([]gopacket.LayerType, 0, 8)
	flows := make(map[key]*flow)
	packets := 0
	for {
		data, info, err := reader.ZeroCopyReadPacketData()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		packets++
		_ = parser.DecodeLayers(data, &decoded) // what is malformed has the layers that it has
		var k key
		bytes := -1
		for _, layer := range decoded {
			switch layer {
			case layers.LayerTypeDot1Q:
				k.vlan = tag.VLANIdentifier
			case layers.LayerTypeIPv4:
				copy(k.src[:], ip4.SrcIP.To4())
				copy(k.dst[:], ip4.DstIP.To4())
				k.protocol = uint8(ip4.Protocol)
				bytes = int(ip4.Length)
			case layers.LayerTypeIPv6:
				copy(k.src[:], ip6.SrcIP)
				copy(k.dst[:], ip6.DstIP)
				k.protocol = uint8(ip6.NextHeader)
				bytes = int(ip6.Length) + 40
			case layers.LayerTypeTCP:
				k.srcPort, k.dstPort = uint16(tcp.SrcPort), uint16(tcp.DstPort)
			case layers.LayerTypeUDP:
				k.srcPort, k.dstPort = uint16(udp.SrcPort), uint16(udp.DstPort)
			}
		}
		if bytes < 0 {
			continue
		}
		side := 0
		f := flows[k]
		if f == nil {
			if f = flows[key{k.dst, k.src, k.dstPort, k.srcPort, k.protocol, k.vlan}]; f != nil {
				side = 1
			} else {
				f = &flow{first: info.Timestamp.UnixNano()}
				flows[k] = f
			}
		}
		f.packets[side]++
		f.bytes[side] += uint64(bytes)
		f.last = info.Timestamp.UnixNano()
	}
	fmt.Println(packets, len(flows))
}
